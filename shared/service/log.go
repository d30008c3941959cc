package service

import (
	"io"
	"log/slog"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
)

// NewLogger writes for people when w is a terminal, JSON lines elsewhere.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	if IsTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000"}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && isatty.IsTerminal(f.Fd())
}
