package websocket

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// checkOrigin refuses a request that a browser sent for a page of another site.
// Programs that are not browsers send no Origin (RFC 6455 section 10.2).
func (o *AcceptOptions) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || o.AllowAnyOrigin {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%w: %q names no host", ErrOrigin, origin)
	}
	host := strings.ToLower(u.Host)
	if host == strings.ToLower(r.Host) && (r.TLS == nil || u.Scheme == "https") {
		return nil
	}
	for _, pattern := range o.OriginPatterns {
		name := host
		if strings.Contains(pattern, "://") {
			name = strings.ToLower(u.Scheme) + "://" + host
		}
		// The patterns were checked.
		if matches, _ := path.Match(strings.ToLower(pattern), name); matches {
			return nil
		}
	}
	return fmt.Errorf("%w: %q at host %q; see AcceptOptions.OriginPatterns", ErrOrigin, origin, r.Host)
}
