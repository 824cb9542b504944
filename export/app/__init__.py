"""What an app needs beside the files: recorded answers, and code that runs them."""
