"""Who is who after animals met: by motion, and by what they look like."""
