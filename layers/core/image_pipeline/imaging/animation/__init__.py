"""Make animated WebP renditions of animated GIF, WebP and PNG files.

gif, webp, png ─ frames ─ canvas ─ (the options of each recipe) ─ writer
                            └─ render: limits, order of steps
"""
