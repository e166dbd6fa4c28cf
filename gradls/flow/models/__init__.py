"""What the functions, methods and attributes of libraries do in an abstract run. Importing a module registers it."""
