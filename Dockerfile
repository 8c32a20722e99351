# The service alone; it needs a PostgreSQL (docker-compose.yml has one).
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /taskrunner ./cmd/taskrunner

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /taskrunner /taskrunner
EXPOSE 8085
ENTRYPOINT ["/taskrunner"]
CMD ["serve"]
