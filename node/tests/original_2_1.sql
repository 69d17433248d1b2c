CREATE TABLE configurations (
	id INTEGER NOT NULL,
	"key" VARCHAR(255) NOT NULL,
	encrypted_value TEXT NOT NULL,
	category VARCHAR(100),
	PRIMARY KEY (id)
);
CREATE UNIQUE INDEX ix_configurations_key ON configurations ("key");
