"""Every patch of moto, and nothing else. Each module has `install`, and a test that fails when moto moves."""
