// Package stack brings up all of Wholescale against an API server, as four processes with four identities: it installs
// the CRDs and the RBAC, asks for the controller's service-account token, issues the mutual-TLS certificates, and starts
// provider, controller and gateway. The demo, the benchmarks and the end-to-end tests stand on it.
package stack
