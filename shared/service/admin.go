package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry is a metrics registry with the process's own metrics in it.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// adminStop is how long the last answers of the admin server may take.
const adminStop = time.Second

// CheckListen finds an address that nothing could ever listen on: typed wrong,
// while one in use is a matter of the moment, and [Admin]'s to find.
func CheckListen(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err == nil && host != "" {
		_, err = net.DefaultResolver.LookupHost(ctx, host)
	}
	if err != nil {
		return fmt.Errorf("--listen %s: %w; write it like 127.0.0.1:8080", address, err)
	}
	return nil
}

// Admin is the role that serves /healthz, /readyz and /metrics. Listening
// happens here and now, so that an address in use is an error at start.
//
// /healthz answers 200 while the process lives. /readyz answers 200 while every
// role is ready, else 503 with one line for each that is not, saying why.
// /metrics has the same in kubescribe_ready, for a role too that has no other
// metric yet because it waits for its bus.
func Admin(listen string, reg *prometheus.Registry, roles []Role) (Role, net.Addr, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return Role{}, nil, fmt.Errorf("listening for /healthz, /readyz and /metrics: %w; choose another address with --listen", err)
	}
	for _, r := range roles {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kubescribe_ready", Help: "1 while a role does its work, 0 while /readyz says what keeps it.",
			ConstLabels: prometheus.Labels{"role": r.Name},
		}, func() float64 {
			if r.Ready() != nil {
				return 0
			}
			return 1
		}))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := Unready(roles); len(why) > 0 {
			answer(w, http.StatusServiceUnavailable, strings.Join(why, "\n"))
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	run := func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() {
			bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminStop/2)
			defer cancel()
			if srv.Shutdown(bound) != nil {
				_ = srv.Close() // what is left are readers of health and metrics
			}
		})
		defer stop()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	return Role{Name: "admin", Run: run, Ready: func() error { return nil }, StopWithin: adminStop}, l.Addr(), nil
}

// Unready lists what keeps roles from being ready, one line each, sorted.
func Unready(roles []Role) []string {
	var why []string
	for _, r := range roles {
		if err := r.Ready(); err != nil {
			why = append(why, r.Name+": "+strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	slices.Sort(why)
	return why
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, body) // the reader may be gone
}
