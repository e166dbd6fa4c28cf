"""The pages of the documentation site that are made from the code and from other files of the repository."""
