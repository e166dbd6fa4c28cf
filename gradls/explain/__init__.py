"""What is known about the code at a place, in words: for editors and for the command line."""
