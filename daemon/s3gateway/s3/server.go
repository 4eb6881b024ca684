package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

// DefaultRegion is the region that clients must sign for unless configured
// otherwise.
const DefaultRegion = "us-east-1"

// ServerConfig says how the S3 API is served.
type ServerConfig struct {
	// Listen is host:port, or a path for a Unix socket. The port must be given:
	// versitygw does not tell which one it got for 0.
	Listen    string
	Region    string // empty is DefaultRegion
	AccessKey string // root account: may do everything
	SecretKey string
	Ready     func() // called once, when connections are accepted; may be nil
}

const (
	// maxConnections bounds open client connections.
	maxConnections = 8192
	// maxRequests bounds requests in flight; more are answered SlowDown.
	maxRequests = 2048
)

// Server serves S3 over HTTP. Several may run in one process: unlike
// versitygw's embedgw package it sets no process-wide state.
type Server struct {
	api    *s3api.S3ApiServer
	listen string
}

// NewServer puts versitygw's front end before a backend.
func NewServer(cfg ServerConfig, b *Backend, iam auth.IAMService) (*Server, error) {
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, errors.New("serving S3: the root account needs an access key and a secret key")
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	root := middlewares.RootUserConfig{Access: cfg.AccessKey, Secret: cfg.SecretKey}
	opts := []s3api.Option{
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithAdminServer(),
		s3api.WithConcurrencyLimiter(maxConnections, maxRequests), s3api.WithMpMaxParts(10000),
	}
	if cfg.Ready != nil {
		opts = append(opts, s3api.WithOnListen(cfg.Ready))
	}
	opts = append(opts, lifecycleRoutes(b, root, cfg.Region, iam)...)
	api, err := s3api.New(b, root, cfg.Region, iam, nil, nil, nil, nil, opts...)
	if err != nil {
		return nil, fmt.Errorf("setting up the S3 API: %w", err)
	}
	return &Server{api: api, listen: cfg.Listen}, nil
}

// Run serves until ctx is done, then lets requests in flight finish for some
// seconds.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.api.ServeMultiPort([]string{s.listen}) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving S3 on %s: %w", s.listen, err)
	case <-ctx.Done():
	}
	err := s.api.ShutDown()
	<-failed //nolint:errcheck // it only says that the listener was closed
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping S3 on %s: %w", s.listen, err)
	}
	return nil
}
