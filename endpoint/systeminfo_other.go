//go:build !linux

package endpoint

import (
	"context"
	"strings"

	"github.com/shirou/gopsutil/v4/host"
)

// osVersion returns the name and the version of the operating system.
func osVersion(ctx context.Context) (string, error) {
	name, _, version, err := host.PlatformInformationWithContext(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(name + " " + version), nil
}
