package api

// Routes returns method and pattern of each line of the table of endpoints.
func Routes(c Config) (routes [][2]string) {
	for _, r := range (&server{Config: c}).routes() {
		routes = append(routes, [2]string{r.method, r.pattern})
	}
	return routes
}
