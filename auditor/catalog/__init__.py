"""What a server's catalog says, read once, and what nobody declared there."""
