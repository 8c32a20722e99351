# The service alone; it needs a PostgreSQL (docker-compose.yml has one). The binary is static, so that any image will do: this
# one has certificates, a user without rights and nothing else.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) --build-arg COMMIT=$(git rev-parse HEAD) -t taskrunner .
ARG BUILD_IMAGE=golang:1.26
ARG RUN_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /taskrunner ./cmd/taskrunner

FROM ${RUN_IMAGE}
COPY --from=build /taskrunner /taskrunner
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8085
ENTRYPOINT ["/taskrunner"]
CMD ["serve"]
