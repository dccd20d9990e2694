"""Commands for whoever maintains this project; each module is one."""
