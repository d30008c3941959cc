package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// program is git-receive-pack, running here or on an SSH host until the session ends.
//
// go-git's sessions leave as soon as they have the report. Over SSH that cuts off a
// post-receive hook, which runs longer; on a path they wait for it without reading
// what it says, for ever if that is more than a pipe holds.
type program struct {
	in     io.WriteCloser
	out    io.Reader
	stderr *talk        // to be read once it has ended
	end    func() error // waits for that
}

// receiveProgram pushes to a program (gitprotocol-pack, "Pushing Data To a Server").
func (s *session) receiveProgram(command *packp.Command, pack func(w io.Writer, thin bool) error) (*answer, error) {
	p, adv, err := s.startReceivePack()
	if err != nil {
		return nil, err
	}
	out, words := moving{p.out, s.watch}, &talk{watch: s.watch}
	req, err := s.request(adv.Capabilities, command, pack)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(req.Encode(p.in), p.in.Close()); err != nil {
		return nil, s.classifyPush(p.fault(err), words)
	}
	a, err := readAnswer(out, command.Name, req.Capabilities, words)
	if err != nil {
		return nil, s.classifyPush(p.fault(err), words)
	}
	a.words, a.secrets = clean(words.String(), maxWords, s.secrets), s.secrets
	// A post-receive hook may be running still. What comes of it does not matter.
	_, _ = io.Copy(io.Discard, out)
	_ = p.end()
	return a, nil
}

// startReceivePack starts git-receive-pack, and reads what it advertises.
func (s *session) startReceivePack() (*program, *packp.AdvRefs, error) {
	start := s.receivePackHere
	if s.endpoint.Protocol == "ssh" {
		start = s.receivePackThere
	}
	p, err := start()
	if err != nil {
		return nil, nil, s.classify(err)
	}
	adv := packp.NewAdvRefs()
	if err := adv.Decode(moving{p.out, s.watch}); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, nil, s.classify(p.refusal(err))
	}
	return p, adv, nil
}

// fault adds to an error what the program has said about it.
func (p *program) fault(err error) error {
	_ = p.in.Close()
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.end()
	if said := strings.TrimSpace(p.stderr.String()); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// refusal is fault of a program that has not begun to serve.
func (p *program) refusal(err error) error {
	err = p.fault(err)
	if is := meant(p.stderr.String(), refusals); is != nil {
		return fmt.Errorf("%w: %w", is, err)
	}
	return err
}

// killWait bounds how long a program's children may hold its output once it was killed.
const killWait = time.Second

// receivePackHere starts the program for a repository at a path.
func (s *session) receivePackHere() (*program, error) {
	cmd := exec.CommandContext(s.ctx, "git", "receive-pack", s.endpoint.Path)
	cmd.WaitDelay = killWait
	p := &program{stderr: &talk{watch: s.watch}, end: sync.OnceValue(cmd.Wait)}
	cmd.Stderr = p.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	context.AfterFunc(s.ctx, func() { // it is killed, if it runs still
		_ = in.Close()
		_ = out.Close()
		_ = p.end()
	})
	p.in, p.out = in, out
	return p, nil
}

// receivePackThere starts the program on an SSH host. The connection ends with the
// session, and with it all that waits for it.
func (s *session) receivePackThere() (*program, error) {
	auth, ok := s.access.Method.(gitssh.AuthMethod)
	if !ok {
		return nil, transport.ErrInvalidAuthMethod
	}
	config, err := auth.ClientConfig()
	if err != nil {
		return nil, err
	}
	address := SSHAddress(s.endpoint)
	conn, err := sessionDialer{s}.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	run, err := ssh.NewClient(c, channels, requests).NewSession()
	if err != nil {
		return nil, err
	}
	p := &program{stderr: &talk{watch: s.watch}, end: run.Wait}
	run.Stderr = p.stderr
	if p.in, err = run.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = run.StdoutPipe(); err != nil {
		return nil, err
	}
	return p, run.Start("git-receive-pack " + quote(s.endpoint.Path))
}

// quote is git's sq_quote_buf: a word for whatever shell.
func quote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}
