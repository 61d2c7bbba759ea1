// Shows this Pinion's own document; a token that is entered is forgotten with the page.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#operations", deepLinking: true, docExpansion: "none", validatorUrl: null });
