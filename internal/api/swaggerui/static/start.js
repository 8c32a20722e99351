// Shows the document of the server that serves this page. Nothing is loaded from other servers: the validator that
// Swagger UI would ask is turned off.
SwaggerUIBundle({
  url: "../api-docs/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
