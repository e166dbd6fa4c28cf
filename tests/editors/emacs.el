;;; emacs.el --- Drives gradls in Emacs  -*- lexical-binding: t; -*-

;;; Commentary:

;; Opens FILE with the client CLIENT, "eglot", "flymake" or "lsp", of
;; gradls.el in the folder PACKAGE, does what a user does, and saves.  What
;; was seen goes to REPORT as JSON, or why not.  PATIENCE is how many
;; milliseconds it waits for anything.

;;; Code:

(require 'cl-lib)
(require 'json)
(require 'seq)
(require 'package)
(require 'python)
(setq package-directory-list (list "/usr/share/emacs/site-lisp/elpa"))
(unless (getenv "EMACSLOADPATH") (package-initialize))

(defvar driver-report nil "What was seen: a property list.")
(defvar driver-patience (/ (string-to-number (getenv "PATIENCE")) 1000.0) "In seconds.")

(defun driver-note (key value)
  "Note VALUE as what was seen of KEY."
  (setq driver-report (plist-put driver-report key value)))

(defun driver-end (error)
  "Write the report with ERROR, or nil, and quit."
  (driver-note :error error)
  (let ((coding-system-for-write 'utf-8-unix))
    (write-region (json-encode driver-report) nil (getenv "REPORT")))
  (setq kill-emacs-hook nil)            ; a server that does nothing does not answer to "shutdown" either
  (kill-emacs 0))

(defun driver-wait (what found)
  "Wait until FOUND gives something, and give that; WHAT it is for errors."
  (let ((end (+ (float-time) driver-patience)) seen)
    (while (and (not (setq seen (funcall found))) (< (float-time) end))
      (accept-process-output nil 0.05)
      (sit-for 0.01))
    (or seen (error "waited in vain for %s" what))))

(defun driver-diagnostics ()
  "What is shown of the findings: lists of line, code underlined and text."
  (mapcar (lambda (each)
            (list (line-number-at-pos (flymake-diagnostic-beg each))
                  (buffer-substring-no-properties (flymake-diagnostic-beg each) (flymake-diagnostic-end each))
                  (substring-no-properties (flymake-diagnostic-text each))))
          (flymake-diagnostics)))

(defun driver-choose (word)
  "A stand-in for `completing-read' that takes what has WORD in it."
  (lambda (_prompt choices &rest _)
    (let ((titles (mapcar (lambda (each) (if (consp each) (car each) each)) (all-completions "" choices))))
      (driver-note :choices (vconcat titles))
      (or (seq-find (lambda (title) (string-match-p (regexp-quote word) title)) titles)
          (error "No choice has %s: %S" word titles)))))

(defun driver-wait-for-diagnostics ()
  "Wait for diagnostics and note them."
  (flymake-start)                       ; batch has no command loop that would
  (driver-note :diagnostics (vconcat (mapcar #'vconcat (driver-wait "the diagnostics" #'driver-diagnostics)))))

(defun driver-to-finding ()
  "Go to the last finding, which is ours."
  (goto-char (apply #'max (mapcar #'flymake-diagnostic-beg (flymake-diagnostics)))))

(defun driver-eglot-hover ()
  "What eglot is told at point."
  (let ((answer (jsonrpc-request (eglot-current-server) :textDocument/hover (eglot--TextDocumentPositionParams))))
    (format "%s" (eglot--hover-info (plist-get answer :contents)))))

(defun driver-eglot ()
  "With eglot."
  (setq eglot-sync-connect driver-patience
        eglot-connect-timeout driver-patience
        eglot-confirm-server-initiated-edits nil
        eglot-confirm-server-edits nil)
  (gradls-setup-eglot)
  (find-file (getenv "FILE"))
  (run-hooks 'post-command-hook)        ; `eglot-ensure' waits for it
  (driver-wait "the server" #'eglot-current-server)
  (driver-wait-for-diagnostics)
  (driver-to-finding)
  (driver-note :hover (driver-eglot-hover))
  (let ((last-nonmenu-event ?\r))       ; or a menu of the mouse pops up
    (cl-letf (((symbol-function 'completing-read) (driver-choose (getenv "WORD"))))
      (eglot-code-actions (line-beginning-position) (line-end-position) "quickfix" t)))
  (driver-wait "the change" #'buffer-modified-p)
  (eglot--signal-textDocument/didChange) ; an idle timer does it in a live session
  (driver-wait "the diagnostics after it" (lambda () (null (flymake-diagnostics)))))

(defun driver-flymake ()
  "With Flymake alone, beside eglot."
  (gradls-setup-flymake)
  (setq eglot-sync-connect driver-patience
        eglot-server-programs (list (list 'python-mode (getenv "OTHER"))))
  (find-file (getenv "FILE"))
  (eglot-ensure)
  (run-hooks 'post-command-hook)
  (driver-wait "the other server" #'eglot-current-server)
  (flymake-start)
  (driver-wait "both servers" (lambda () (cdr (flymake-diagnostics))))
  (driver-note :diagnostics (vconcat (mapcar #'vconcat (driver-diagnostics))))
  (gradls-fix-buffer)
  (flymake-start)
  (driver-wait "the diagnostics after it" (lambda () (null (cdr (flymake-diagnostics))))))

(defun driver-lsp ()
  "With lsp-mode, beside another server."
  (require 'lsp-mode)
  (setq lsp-auto-guess-root t
        lsp-guess-root-without-session t
        lsp-session-file (expand-file-name "session" (file-name-directory (getenv "REPORT")))
        lsp-restart 'ignore
        lsp-diagnostics-provider :flymake
        lsp-enable-snippet nil
        lsp-headerline-breadcrumb-enable nil
        lsp-enable-suggest-server-download nil)
  (when (getenv "OTHER")
    (lsp-register-client
     (make-lsp-client :new-connection (lsp-stdio-connection (lambda () (list (getenv "OTHER"))))
                      :major-modes '(python-mode) :server-id 'other :priority 9)))
  (gradls-setup-lsp)
  (find-file (getenv "FILE"))
  (lsp)                                 ; as `lsp-deferred' does once the buffer is on the screen
  (driver-wait "the server" (lambda () (lsp-find-workspace 'gradls buffer-file-name)))
  (driver-wait "the diagnostics" (lambda () (cdr (gethash (lsp--fix-path-casing buffer-file-name) (lsp-diagnostics t)))))
  (driver-note :said (vconcat (mapcar (lambda (each) (lsp-get each :message))
                                      (gethash (lsp--fix-path-casing buffer-file-name) (lsp-diagnostics t)))))
  (flymake-start)
  (driver-note :diagnostics (vconcat (mapcar #'vconcat (driver-wait "them on the screen" #'driver-diagnostics))))
  (driver-to-finding)
  (driver-note :hover (driver-lsp-hover))
  (cl-letf (((symbol-function 'completing-read) (driver-choose (getenv "WORD"))))
    (lsp-execute-code-action-by-kind "quickfix"))
  (driver-wait "the change" #'buffer-modified-p)
  (driver-wait "the diagnostics after it"
               (lambda () (null (cdr (gethash (lsp--fix-path-casing buffer-file-name) (lsp-diagnostics t)))))))

(defun driver-lsp-hover ()
  "What the servers say at point."
  (format "%s" (lsp-get (lsp-get (lsp-request "textDocument/hover" (lsp--text-document-position-params)) :contents) :value)))

(defun driver-commands ()
  "The commands of the package."
  (goto-char (point-max))
  (forward-line -1)
  (let (opened)
    (cl-letf (((symbol-function 'browse-url-of-file) (lambda (file) (setq opened file))))
      (gradls-show-picture))
    (driver-note :picture (with-temp-buffer (insert-file-contents opened) (and (search-forward "<svg" nil t) t))))
  (driver-to-finding)
  (cl-letf (((symbol-function 'completing-read)
             (lambda (_prompt rules _a _b _c _d default)
               (driver-note :rules (length rules))
               (or (car default) (error "No rule is offered")))))
    (call-interactively #'gradls-explain))
  (driver-note :page (with-current-buffer "*gradls*" (buffer-string)))
  (kill-new (format "Traceback (most recent call last):\n  File \"%s\", line %d, in <module>\nRuntimeError: %s\n"
                    buffer-file-name (line-number-at-pos (point-max))
                    "element 0 of tensors does not require grad and does not have a grad_fn"))
  (cl-letf (((symbol-function 'read-string) (lambda (_prompt _initial _history default) default)))
    (call-interactively #'gradls-why))
  (driver-note :why (with-current-buffer "*gradls*" (buffer-string))))

(condition-case problem
    (progn
      (setq make-backup-files nil
            create-lockfiles nil
            native-comp-enable-subr-trampolines nil)
      (add-to-list 'load-path (getenv "PACKAGE"))
      (require 'gradls)
      (require 'flymake)
      (require 'eglot)
      (driver-note :version emacs-version)
      (advice-add 'gradls-fix-buffer :before (lambda (&rest _) (driver-commands)))
      (advice-add 'eglot-code-actions :before (lambda (&rest _) (save-excursion (driver-commands))))
      (funcall (intern (concat "driver-" (getenv "CLIENT"))))
      (save-buffer)
      (driver-end nil))
  (error (driver-end (error-message-string problem))))

;;; emacs.el ends here
