"""The controller: gRPC services, the engine, the store."""
