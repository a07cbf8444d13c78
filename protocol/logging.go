package protocol

import (
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LoggingOptions configures [LoggingMiddleware]. Nil and zero values mean the
// defaults.
type LoggingOptions struct {
	// Level is the level of the lines about messages; nil means debug.
	Level *zapcore.Level
	// Contents logs the messages themselves as well. They hold what users ask
	// for and what is on their screens.
	Contents bool
	// MaxContents cuts the messages in the log to so many bytes; zero means
	// 4096, negative means no limit.
	MaxContents int
}

const defaultMaxContents = 4096

// LoggingMiddleware is an [Extension] that logs each message that passes, by
// its type, its ids and its size: "[OUT]" those sent, "[IN]" those received.
// The contents are logged only when asked for. Failures are logged as
// warnings, by texts that hold nothing of the messages.
type LoggingMiddleware struct {
	logger *zap.Logger
	level  zapcore.Level
	cut    int // -1: no limit; 0: no contents
}

var _ Extension = (*LoggingMiddleware)(nil)

// NewLoggingMiddleware returns what logs to logger; nil is silent.
func NewLoggingMiddleware(logger *zap.Logger, opts *LoggingOptions) *LoggingMiddleware {
	var options LoggingOptions
	if opts != nil {
		options = *opts
	}
	l := &LoggingMiddleware{logger: logger, level: zapcore.DebugLevel}
	if logger == nil {
		l.logger = zap.NewNop()
	}
	if options.Level != nil {
		l.level = *options.Level
	}
	switch {
	case !options.Contents:
	case options.MaxContents < 0:
		l.cut = -1
	case options.MaxContents == 0:
		l.cut = defaultMaxContents
	default:
		l.cut = options.MaxContents
	}
	return l
}

// MessageSent implements [Extension].
func (l *LoggingMiddleware) MessageSent(m MessageInfo) { l.message("[OUT]", m) }

// MessageReceived implements [Extension].
func (l *LoggingMiddleware) MessageReceived(m MessageInfo) { l.message("[IN]", m) }

// ConnectionEstablished implements [Extension].
func (l *LoggingMiddleware) ConnectionEstablished() {
	l.logger.Log(l.level, "[CONN] connection established")
}

// ConnectionClosed implements [Extension].
func (l *LoggingMiddleware) ConnectionClosed(err error) {
	l.logger.Log(l.level, "[DISC] connection closed", zap.Error(err))
}

// ErrorOccurred implements [Extension].
func (l *LoggingMiddleware) ErrorOccurred(op string, err error) {
	l.logger.Warn("[ERROR] "+op, zap.Error(err))
}

func (l *LoggingMiddleware) message(direction string, m MessageInfo) {
	entry := l.logger.Check(l.level, direction)
	if entry == nil {
		return
	}
	fields := make([]zap.Field, 0, 10)
	fields = append(fields, zap.String("type", m.Type), zap.Int("size", m.Size))
	for _, f := range [...]struct{ key, value string }{
		{"status", m.Status},
		{"client_id", m.ClientID},
		{"session_id", m.SessionID},
		{"task_name", m.TaskName},
		{"request_id", m.RequestID},
		{"response_id", m.ResponseID},
		{"prev_response_id", m.PrevResponseID},
	} {
		if f.value != "" {
			fields = append(fields, zap.String(f.key, f.value))
		}
	}
	if l.cut != 0 {
		fields = append(fields, zap.String("message", string(l.contents(m.Data))))
	}
	entry.Write(fields...)
}

// contents returns what is logged of a message, cut between characters.
func (l *LoggingMiddleware) contents(text []byte) []byte {
	if l.cut < 0 || len(text) <= l.cut {
		return text
	}
	end := l.cut
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
