// Package integration tests the services together, on real NATS and Git
// servers.
package integration
