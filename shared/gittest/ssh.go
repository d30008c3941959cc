package gittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHOptions says how an SSHServer serves.
type SSHOptions struct {
	// Dir holds the repositories.
	Dir string
	// HostKeys are the server's, one of a type.
	HostKeys []Key
	// Client is who is let in, under any user name.
	Client ssh.PublicKey
	// Refuse, if it says something, is what a program says instead of serving: a host's own
	// judgement of who may do what.
	Refuse func(service string) string
}

// SSHServer serves repositories over SSH on a free port of 127.0.0.1, by the real
// git-upload-pack and git-receive-pack. Its methods may be called from any
// goroutine.
type SSHServer struct {
	dir      string
	keys     []Key
	config   *ssh.ServerConfig
	refuse   func(service string) string
	listener net.Listener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// ServeSSH starts a server. It runs until Close.
func ServeSSH(opts SSHOptions) (*SSHServer, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding directory for repositories: %w", err)
	}
	s := &SSHServer{dir: dir, keys: opts.HostKeys, refuse: opts.Refuse, config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if opts.Client == nil || !bytes.Equal(key.Marshal(), opts.Client.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return &ssh.Permissions{}, nil
		},
	}}
	for _, key := range opts.HostKeys {
		s.config.AddHostKey(key)
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return // by Close
			}
			s.running.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

// Address is where the server listens.
func (s *SSHServer) Address() string { return s.listener.Addr().String() }

// URL is where the repository of that name (a path below the directory) is served.
func (s *SSHServer) URL(name string) string { return "ssh://git@" + s.Address() + "/" + name }

// KnownHosts is what a known_hosts file has to hold for those keys of the server.
func (s *SSHServer) KnownHosts(keys ...Key) string {
	var b strings.Builder
	for _, key := range keys {
		b.WriteString(knownhosts.Line([]string{knownhosts.Normalize(s.Address())}, key.PublicKey()) + "\n")
	}
	return b.String()
}

// Close ends the server with every connection and every git process.
func (s *SSHServer) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.running.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing listener: %w", err)
	}
	return nil
}

// serve is one connection, to its end.
func (s *SSHServer) serve(conn net.Conn) {
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return // not let in, or no SSH
	}
	s.running.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			continue
		}
		s.running.Go(func() { s.session(channel, requests) })
	}
}

// session runs the one program that it is asked for (RFC 4254, 6.5).
func (s *SSHServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for request := range requests {
		var exec struct{ Command string }
		run := request.Type == "exec" && ssh.Unmarshal(request.Payload, &exec) == nil
		if request.WantReply {
			_ = request.Reply(run, nil)
		}
		if !run {
			continue
		}
		s.running.Go(func() { ssh.DiscardRequests(requests) })
		status := struct{ Status uint32 }{s.run(exec.Command, channel)}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
		return
	}
}

// run is git-shell(1), as far as it is needed.
func (s *SSHServer) run(command string, channel ssh.Channel) (status uint32) {
	service, name, _ := strings.Cut(command, " ")
	name = strings.TrimPrefix(path.Clean("/"+unquote(name)), "/")
	if service != "git-upload-pack" && service != "git-receive-pack" {
		_, _ = fmt.Fprintln(channel.Stderr(), "only Git is served here")
		return 128
	}
	if s.refuse != nil {
		if said := s.refuse(service); said != "" {
			_, _ = fmt.Fprintln(channel.Stderr(), said)
			return 1
		}
	}
	cmd := exec.CommandContext(s.ctx, "git", strings.TrimPrefix(service, "git-"), filepath.Join(s.dir, filepath.FromSlash(name)))
	cmd.Env = env()
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	// Not cmd.Stdin: git may end before its input does.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 128
	}
	s.running.Go(func() {
		_, _ = io.Copy(stdin, channel)
		_ = stdin.Close()
	})
	if cmd.Run() != nil {
		return 128
	}
	return 0
}

// unquote is the reverse of git's sq_quote_buf: 'it'\”s'.
func unquote(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "'"), "'")
	return strings.NewReplacer(`'\''`, "'", `'\!'`, "!").Replace(s)
}
