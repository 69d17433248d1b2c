module opensecureconf.io/e2e-cert-manager

go 1.26.8

require github.com/cert-manager/cert-manager v1.19.1
