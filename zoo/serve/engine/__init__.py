"""The application, and what runs it: uvicorn on this machine, or Ray Serve on many."""
