import base64
import smtplib
import sys

if __name__ == "__main__":
    server = smtplib.SMTP(sys.argv[1], 587)
    server.ehlo("by-hand")
    answer = base64.b64encode(b"USER@DOMAIN\0PASSWORD").decode()
    print(server.docmd("AUTH", "PLAIN " + answer))
    server.quit()
