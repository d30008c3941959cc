// Package kubescribe runs every role in one process, on an embedded NATS
// server. The roles are those of the services, on the same bus: no shortcut
// exists that this mode takes.
package kubescribe
