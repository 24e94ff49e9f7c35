"""What the commands share: errors in one line, silence, flags."""
