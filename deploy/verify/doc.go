// Package verify holds the tests of what this repository deploys with: docker-compose.yml, the Dockerfile and the files of
// deploy/. It is a module of its own, so that the libraries which read those files stay out of the service's.
package verify
