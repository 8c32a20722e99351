// Optional parameters begin empty: their examples would be sent with every request that is tried out.
function emptyOptionalParameters(document) {
  const lists = Object.values(document.paths).flatMap((item) => [item, ...Object.values(item)]);
  const parameters = [...lists.flatMap((list) => list.parameters ?? []), ...Object.values(document.components.parameters)];
  for (const parameter of parameters.filter((p) => !p.required)) {
    delete parameter.example;
    for (const content of Object.values(parameter.content ?? {})) {
      delete content.examples;
    }
  }
  return document;
}

// Shows the document of the server that serves this page. Nothing is loaded from other servers: the validator that
// Swagger UI would ask is turned off.
fetch("../api-docs/openapi.json")
  .then((answer) => answer.json())
  .then((document) =>
    SwaggerUIBundle({
      spec: emptyOptionalParameters(document),
      dom_id: "#swagger-ui",
      presets: [SwaggerUIBundle.presets.apis],
      deepLinking: true,
      displayRequestDuration: true,
      defaultModelsExpandDepth: 0,
      validatorUrl: null,
    }),
  );
