"""Our server beside those that people use now, on the same graph, the same requests and the same core."""
