package gittest

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how a Server serves. The zero value serves a new temporary
// directory to anybody.
type Options struct {
	// Dir holds the repositories; it is made if it does not exist. Empty: a
	// temporary one that goes with Close.
	Dir string
	// User and Password, if either is set, are asked for by basic
	// authentication.
	User, Password string
	// TLS, if set, makes it serve https instead of http: see Authority.Serves.
	TLS *tls.Config
	// Wrap, if set, puts a handler around everything else: to drop an answer
	// after it was given, to hang, to answer 401, 403 or 429, to count.
	Wrap func(http.Handler) http.Handler
	// Address to listen on. Empty: a free port of 127.0.0.1.
	Address string
	// Stderr receives what the git processes print as errors. Nil: nobody.
	Stderr io.Writer
}

// Server is a Git server over smart HTTP or HTTPS. Its methods may be called from any
// goroutine.
type Server struct {
	// Dir holds the repositories.
	Dir string

	scheme      string
	address     string
	http        *http.Server
	temporary   bool
	connections atomic.Int64
	open        atomic.Int64
	close       sync.Once
	closeErr    error
	served      chan struct{}
}

// Serve starts a server. It runs until Close.
func Serve(opts Options) (*Server, error) {
	backend, err := httpBackend()
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: opts.Dir, served: make(chan struct{})}
	if s.Dir == "" {
		s.temporary = true
		if s.Dir, err = os.MkdirTemp("", "gittest-"); err != nil {
			return nil, fmt.Errorf("making directory for repositories: %w", err)
		}
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return nil, fmt.Errorf("finding directory for repositories: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making directory for repositories: %w", err)
	}
	address := opts.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s.scheme, s.address = "http", listener.Addr().String()
	if opts.TLS != nil {
		s.scheme = "https"
	}

	stderr := opts.Stderr
	if stderr == nil {
		stderr = io.Discard
	}
	handler := http.Handler(stream(&cgi.Handler{
		Path: backend,
		// cgi adds what it knows of the request; nothing of this process's
		// environment is inherited but what is named here.
		Env:    env("GIT_PROJECT_ROOT="+s.Dir, "GIT_HTTP_EXPORT_ALL=1"),
		Stderr: stderr,
	}))
	if opts.User != "" || opts.Password != "" {
		handler = basicAuth(handler, opts.User, opts.Password)
	}
	if opts.Wrap != nil {
		handler = opts.Wrap(handler)
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.connections.Add(1)
				s.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.open.Add(-1)
			case http.StateActive, http.StateIdle:
			}
		},
		TLSConfig: opts.TLS,
		ErrorLog:  log.New(stderr, "", 0), // of handshakes that fail
	}
	go func() {
		defer close(s.served)
		// It always fails, with ErrServerClosed after Close.
		if opts.TLS != nil {
			_ = s.http.ServeTLS(listener, "", "")
			return
		}
		_ = s.http.Serve(listener)
	}()
	return s, nil
}

// URL is where the repository of that name (a path below Dir) is served.
func (s *Server) URL(name string) string { return s.scheme + "://" + s.address + "/" + name }

// Path is where the repository of that name lies.
func (s *Server) Path(name string) string { return filepath.Join(s.Dir, filepath.FromSlash(name)) }

// Init makes an empty bare repository of that name and returns its path.
func (s *Server) Init(name, branch string) (string, error) {
	dir := s.Path(name)
	return dir, InitBare(dir, branch)
}

// Connections is how many connections were accepted so far.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// Open is how many connections are open.
func (s *Server) Open() int { return int(s.open.Load()) }

// Close ends the server and every request in it. A temporary Dir goes with it.
func (s *Server) Close() error {
	s.close.Do(func() {
		// Git processes end with their requests; a short while is left for
		// them, so that nothing writes into a directory being removed.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			s.closeErr = s.http.Close()
		}
		<-s.served
		if s.temporary {
			s.closeErr = errors.Join(s.closeErr, os.RemoveAll(s.Dir))
		}
	})
	return s.closeErr
}

// httpBackend finds canonical git's CGI program.
func httpBackend() (string, error) {
	dir, err := Git(".", "--exec-path")
	if err != nil {
		return "", fmt.Errorf("finding git: %w", err)
	}
	path := filepath.Join(dir, "git-http-backend")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("finding git's http-backend: %w", err)
	}
	return path, nil
}

// stream passes every piece of an answer on at once, as hosting services do: the
// report of a push does not wait for its post-receive hook. How long a body is said to be
// is kept from git, which would wait for ever, and not idly, for the rest of one whose
// sender was killed: it reads to the end.
func stream(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			r.ContentLength, r.TransferEncoding = -1, nil
		}
		next.ServeHTTP(flushing{w}, r)
	})
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		_ = http.NewResponseController(f.ResponseWriter).Flush() // a recorder cannot, and need not
	}
	return n, err
}

func basicAuth(next http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, ok := r.BasicAuth()
		same := subtle.ConstantTimeCompare([]byte(u), []byte(user)) & subtle.ConstantTimeCompare([]byte(p), []byte(password))
		if !ok || same != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="gittest"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
