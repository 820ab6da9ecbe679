"""Pictures of any size, by tiles: `huge` is the way in, `windows` the same within memory."""
