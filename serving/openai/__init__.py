"""The OpenAI API in parts: what its requests hold, how answers, pieces of answers and errors look on the wire."""
