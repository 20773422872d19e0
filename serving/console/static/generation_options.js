// How a text is to be written.

export function generationOptions(model) {
  const defaults = model.task?.defaults ?? {};
  return [
    {name: "max_tokens", label: "At most tokens", type: "number", min: 1, value: "", placeholder: "200"},
    {name: "temperature", label: "Temperature", type: "number", min: 0, max: 5, step: 0.1, value: "", placeholder: String(defaults.temperature ?? 1)},
    {name: "top_p", label: "Top p", type: "number", min: 0.01, max: 1, step: 0.01, value: "", placeholder: String(defaults.top_p ?? 1)},
    ...(model.is_upstream ? [] : [
      {name: "top_k", label: "Top k", type: "number", min: 0, value: "", placeholder: String(defaults.top_k ?? "all")},
      {name: "repetition_penalty", label: "Repetition penalty", type: "number", min: 0.1, max: 10, step: 0.05, value: "", placeholder: String(defaults.repetition_penalty ?? 1)},
    ]),
    {name: "seed", label: "Seed", type: "number", value: "", placeholder: "any"},
    {name: "stop", label: "Stop before", type: "text", value: "", placeholder: "nothing"},
  ];
}
