// Package embedded is the NATS server inside the kubescribe process.
package embedded

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/bcrypt"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/shared/bus"
)

const (
	startWait = 30 * time.Second
	// storeLimit is what all streams together may grow to. It is said in so
	// many words because the server would else promise no more than most of
	// the disk's free space, and refuse to make streams on a full one.
	storeLimit = 6 << 30
)

// Access is how local programs reach the server: nats.json in the data
// directory, readable by its owner alone.
type Access struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"` //nolint:gosec // a generated one, for loopback
}

// accessFile is where Access is kept in a data directory.
const accessFile = "nats.json"

// ReadAccess is how to reach the server that runs, or ran last, on a data directory.
func ReadAccess(dir string) (Access, error) {
	var a Access
	b, err := os.ReadFile(filepath.Join(dir, accessFile))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return a, fmt.Errorf("reading how the bus is reached: %w", err)
	}
	return a, nil
}

// FindAccess lists the data directories below a directory that a server ran on.
func FindAccess(below string) []string {
	files, err := filepath.Glob(filepath.Join(below, "*", accessFile))
	if err != nil {
		return nil // a name that is no pattern: nothing is found there
	}
	for i, f := range files {
		files[i] = filepath.Dir(f)
	}
	return files
}

// Server is a running server. It implements nats.InProcessConnProvider.
type Server struct {
	*server.Server
	Access Access
	store  string // its directory
}

// Start runs a server on a data directory: JetStream on disk, every write
// synced before it is acknowledged, reachable on loopback with credentials that
// are made anew at each start.
func Start(dir *datadir.Dir, log *slog.Logger) (*Server, error) {
	access := Access{User: "kubescribe", Password: rand.Text()}
	// The password is random, so the cheapest hash keeps it as safe as any.
	hash, err := bcrypt.GenerateFromPassword([]byte(access.Password), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "kubescribe", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: dir.Join("nats"), SyncAlways: true, JetStreamMaxStore: storeLimit,
		MaxPayload: bus.MaxPayload + 64<<10, // headers beside the largest stored message's
		Users:      []*server.User{{Username: access.User, Password: string(hash)}},
		NoSigs:     true, DisableShortFirstPing: true,
	})
	if err != nil {
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	failed := make(chan string, 1)
	s.SetLoggerV2(logger{log.With("role", "nats"), failed}, false, false, false)
	s.Start()
	select {
	case why := <-failed: // its store could not be opened: it will never be ready
		s.Shutdown()
		return nil, fmt.Errorf("starting the embedded NATS server in %s: %s", dir.Join("nats"), why)
	default:
	}
	if !s.ReadyForConnections(startWait) {
		s.Shutdown()
		return nil, fmt.Errorf("starting the embedded NATS server: not ready after %s; the log says why", startWait)
	}
	access.URL = s.ClientURL()
	b, err := json.MarshalIndent(access, "", "  ")
	if err == nil {
		err = dir.Write(accessFile, append(b, '\n'))
	}
	if err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	return &Server{s, access, dir.Join("nats")}, nil
}

// lookEvery is how often a server is asked for its health.
const lookEvery = time.Second

// Watch returns nil once ctx ends, or before that why the server takes nothing any more: one
// that has failed to write to its store, whose disk was full, say, does not try again, however much room
// there is later. Only another start does.
func (s *Server) Watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h := s.Healthz(&server.HealthzOptions{}); h.Error != "" {
			return fmt.Errorf("the store in %s cannot be written to any more: %s; make room there if its disk is full, and start kubescribe again: nothing is lost", s.store, h.Error)
		}
	}
}

// Stop ends the server once its store is closed.
func (s *Server) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// logger passes on what a person should know of.
type logger struct {
	log    *slog.Logger
	failed chan<- string // takes the first of what stops the server
}

func (l logger) Noticef(format string, v ...any) {
	l.log.Debug("server notice", "text", fmt.Sprintf(format, v...))
}

func (l logger) Warnf(format string, v ...any) {
	l.log.Warn("server warning", "text", fmt.Sprintf(format, v...))
}

func (l logger) Errorf(format string, v ...any) {
	l.log.Error("server error", "text", fmt.Sprintf(format, v...))
}

func (l logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("server failed", "text", text)
	select {
	case l.failed <- text:
	default:
	}
}
func (l logger) Debugf(string, ...any) {}
func (l logger) Tracef(string, ...any) {}
