"""What tests share: tiny networks and data, odd videos, a web site, report's inputs."""
