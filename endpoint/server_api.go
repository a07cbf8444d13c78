package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
)

// maxAPIBody is the largest body of a request to the API, in bytes.
const maxAPIBody = 1 << 20

// API returns the server's HTTP API, for programs that are no AIP clients (spec
// section 4). It asks for the Token, if there is one, as the header X-API-Key or
// as Authorization: Bearer, and answers 401 without it; with an [Authenticator]
// it wants a principal with API. Requests beyond what [Limits] allow are answered
// with 429 and Retry-After. All answers are JSON; errors have the form
// {"detail": "..."}.
//
//	GET  /api/clients             {"online_clients": [ids]}
//	GET  /api/health              {"status": "healthy", "online_clients": [ids]}
//	POST /api/dispatch            takes {"client_id", "request", "task_name"?};
//	                              {"status": "dispatched", "task_name", "client_id", "session_id"}
//	GET  /api/task_result/{name}  {"status": "pending"}, or {"status": "done", "result", ...}
//
// A dispatch is answered when the device has taken the task on. The result has,
// beside "result", the session's id, the status of its end, and its error. A
// server that is closing is "draining" rather than healthy, with 503.
func (s *Server) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/clients", s.apiClients)
	mux.HandleFunc("GET /api/health", s.apiHealth)
	mux.HandleFunc("POST /api/dispatch", s.apiDispatch)
	mux.HandleFunc("GET /api/task_result/{name}", s.apiTaskResult)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var often *tooOften
		switch err := s.admitToAPI(r); {
		case errors.As(err, &often):
			often.setRetryAfter(w.Header())
			s.apiError(w, http.StatusTooManyRequests, "Too many requests")
		case err != nil:
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.apiError(w, http.StatusUnauthorized, "Invalid API key")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// admitToAPI returns why a request is not dealt with, or nil.
func (s *Server) admitToAPI(r *http.Request) error {
	p, err := s.prove(r, s.identifyForAPI)
	if err != nil {
		s.logger.Info("the API is not for this request", zap.Error(err))
		return err
	}
	caller := "address " + s.addressOf(r)
	if p != nil {
		caller = "principal " + p.Name
	}
	if after := s.calls.take(s.options.Limits.APIRequestsPerMinute, caller); after > 0 {
		return &tooOften{ErrTooManyRequests, after}
	}
	if p != nil && !p.API {
		return ErrNotAuthorized
	}
	return nil
}

// identifyForAPI returns on whose behalf a request comes; nil for everyone's. The
// key in the reference's header counts as a bearer's token. With a Token what is
// in the URL does not count.
func (s *Server) identifyForAPI(r *http.Request) (*Principal, error) {
	key := r.Header.Get("X-API-Key")
	if key != "" || s.options.Authenticate == nil {
		r = r.Clone(r.Context())
		r.URL.RawQuery = ""
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if s.options.Authenticate == nil {
		return s.checkToken(r)
	}
	return s.identify(r)
}

func (s *Server) apiClients(w http.ResponseWriter, _ *http.Request) {
	s.apiAnswer(w, http.StatusOK, map[string]any{"online_clients": s.clientIDs()})
}

func (s *Server) apiHealth(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	code, status := http.StatusOK, "healthy"
	if draining {
		code, status = http.StatusServiceUnavailable, "draining"
	}
	s.apiAnswer(w, code, map[string]any{"status": status, "online_clients": s.clientIDs()})
}

// clientIDs returns the ids of the registered clients.
func (s *Server) clientIDs() []string {
	ids := []string{}
	for _, c := range s.Clients() {
		ids = append(ids, c.ID)
	}
	return ids
}

func (s *Server) apiDispatch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	if err != nil {
		s.apiError(w, http.StatusRequestEntityTooLarge, "The body is too large or incomplete")
		return
	}
	var request struct {
		ClientID string  `json:"client_id"`
		Request  string  `json:"request"`
		TaskName *string `json:"task_name"`
	}
	if json.Unmarshal(body, &request) != nil || !isObject(body) {
		s.apiError(w, http.StatusUnprocessableEntity, "The body has to be a JSON object with client_id and request")
		return
	}
	name := ""
	if request.TaskName != nil {
		if name = *request.TaskName; name == "" {
			s.apiError(w, http.StatusBadRequest, "Invalid task_name")
			return
		}
	}
	task, err := s.Dispatch(r.Context(), DispatchRequest{DeviceID: request.ClientID, Request: request.Request, TaskName: name})
	if err != nil {
		code, detail := dispatchFailure(err)
		s.apiError(w, code, detail)
		return
	}
	s.apiAnswer(w, http.StatusOK, map[string]any{
		"status": "dispatched", "task_name": task.TaskName, "client_id": task.DeviceID, "session_id": task.SessionID,
	})
}

// isObject reports whether JSON text is an object.
func isObject(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// dispatchFailure returns the status and the words for a failed dispatch.
func dispatchFailure(err error) (code int, detail string) {
	var failed *DispatchError
	switch {
	case errors.Is(err, ErrInvalidDispatch) && errors.As(err, &failed):
		return http.StatusBadRequest, failed.Problem
	case errors.As(err, &failed):
		return http.StatusConflict, failed.Problem
	case errors.Is(err, ErrNotConnected):
		return http.StatusNotFound, "Client not online"
	case errors.Is(err, ErrServerClosed):
		return http.StatusServiceUnavailable, "The server is shutting down"
	default:
		return http.StatusGatewayTimeout, "The device did not take the task on"
	}
}

func (s *Server) apiTaskResult(w http.ResponseWriter, r *http.Request) {
	o, known := s.TaskResult(r.PathValue("name"))
	switch {
	case !known:
		s.apiError(w, http.StatusNotFound, "Unknown task")
	case o.Running:
		s.apiAnswer(w, http.StatusOK, map[string]any{"status": "pending", "session_id": o.SessionID})
	default:
		answer := map[string]any{"status": "done", "result": nil, "session_id": o.SessionID, "task_status": o.Status, "error": nil}
		if !o.Result.IsZero() {
			answer["result"] = o.Result
		}
		if o.Error != "" {
			answer["error"] = o.Error
		}
		s.apiAnswer(w, http.StatusOK, answer)
	}
}

func (s *Server) apiError(w http.ResponseWriter, code int, detail string) {
	s.apiAnswer(w, code, map[string]any{"detail": detail})
}

func (s *Server) apiAnswer(w http.ResponseWriter, code int, answer any) {
	value, err := messages.NewValue(answer)
	if err != nil {
		s.logger.Error("encoding an answer of the API failed", zap.Error(err))
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(value.Bytes()) // Whoever asked may have gone.
}
