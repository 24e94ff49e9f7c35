"""From pictures to what is known of them."""
