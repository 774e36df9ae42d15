# One image, four programs: controller, gateway, provider, wholescale. Each pod says which one it runs.
#   docker buildx build --platform linux/amd64,linux/arm64 -t ghcr.io/wholescale/wholescale:TAG .
ARG GO=golang:1.26.8-bookworm
ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
# The flags are those of deploy/release/build, which `make release-check` builds twice with.
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} deploy/release/build /out

FROM ${BASE}
COPY --from=build /out/controller /out/gateway /out/provider /out/wholescale /usr/local/bin/
# nonroot; the chart says so too.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/wholescale"]
