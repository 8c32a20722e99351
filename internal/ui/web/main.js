document.body.append('Task Runner');
