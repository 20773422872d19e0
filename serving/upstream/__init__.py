"""Models that another server runs: one that speaks the OpenAI API, such as vLLM, SGLang or a replica of this one."""
