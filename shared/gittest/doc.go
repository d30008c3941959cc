// Package gittest runs real Git servers: canonical git's http-backend behind
// net/http on a loopback address, and its programs behind an SSH server with an
// agent to go with it. Tests use them as the remote, and stock git on
// the bare repository as the oracle that shares no code with what is tested; a
// demonstration uses one where there is no hosting service. It needs git on the
// PATH and nothing of the machine's Git configuration matters to it.
package gittest
