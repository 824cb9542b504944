"""Languages that code of an app is generated in; one file each, self-registering."""
