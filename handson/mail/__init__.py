"""Mail: Postfix, SASL, SMTP, the mail program, the log, and who may relay."""
