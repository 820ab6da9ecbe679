"""Pictures of any size, by tiles: `huge` is the way in, `windows` for what is in memory."""
