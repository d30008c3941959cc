// Package service is the life cycle that every kubescribe process shares: roles
// that start together and stop in order, health and metrics over HTTP, logging,
// and the command line of a process that runs one role.
//
//	starting ──▶ running ──ctx ends──▶ draining ──▶ stopped
//	    │            │                     │
//	    └── failed ◀─┴─────────────────────┘ (a bound on each stop)
//
// Nothing here reads the environment, handles signals or exits: that is for the
// main packages.
package service
