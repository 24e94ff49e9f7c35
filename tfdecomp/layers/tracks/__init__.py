"""Parts of SQAIR: objects that are followed and found one after the other."""
