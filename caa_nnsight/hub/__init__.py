"""Repositories on the Hugging Face Hub: vectors and behaviors pushed, and read back."""
