"""Labels that come after the answer, joined to it by the request's id: live accuracy."""
