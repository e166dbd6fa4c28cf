;;; gradls.el --- Where a PyTorch gradient is lost, while you type  -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: languages, tools

;;; Commentary:

;; gradls is a language server for Python code that uses PyTorch.  One of
;; these in the init file has it run in Python buffers:
;;
;;   (gradls-setup-eglot)    with eglot, as the server of Python
;;   (gradls-setup-flymake)  findings beside whatever server eglot has
;;   (gradls-setup-lsp)      with lsp-mode, beside other servers
;;
;; Whichever it is, `gradls-explain' explains the rule of the finding at
;; point, `gradls-show-picture' draws the gradient of a line,
;; `gradls-fix-buffer' makes all safe fixes, and `gradls-why' explains a
;; traceback.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defgroup gradls nil
  "Where a PyTorch gradient is lost."
  :group 'tools
  :prefix "gradls-")

(defcustom gradls-program "gradls"
  "The command of gradls."
  :type 'string)

(defcustom gradls-hints nil
  "Which hints stand behind names, in versions of eglot and lsp-mode that show any.
With nil, the project's configuration says it."
  :type '(choice (const :tag "As the project says" nil)
                 (const :tag "None" "off")
                 (const :tag "Where a gradient is lost" "cuts")
                 (const :tag "Also where one is required" "all")))

(defcustom gradls-config nil
  "Settings that win over the project's configuration, as a property list.
It has the keys of [tool.gradls], as in (:ignore [\"GRD4\"])."
  :type 'plist)

(defcustom gradls-python nil
  "The interpreter in whose environment imports are looked up."
  :type '(choice (const :tag "That of the project" nil) file))

(defcustom gradls-trusted nil
  "Whether code of the project, such as its interpreter, may be run.
Say so only for code that you trust."
  :type 'boolean)

(defconst gradls--modes '(python-mode python-ts-mode)
  "The major modes of Python.")

(defun gradls--options ()
  "The options that the server begins with."
  (append (list :trusted (if gradls-trusted t :json-false))
          (and gradls-hints (list :hints gradls-hints))
          (and gradls-python (list :python gradls-python))
          (and gradls-config (list :config gradls-config))))

(defun gradls--in-python (function)
  "Have FUNCTION called in Python buffers, those that are open included."
  (dolist (mode gradls--modes)
    (add-hook (intern (format "%s-hook" mode)) function))
  (dolist (buffer (buffer-list))
    (with-current-buffer buffer
      (when (apply #'derived-mode-p gradls--modes)
        (funcall function)))))

;;;; eglot

(defvar eglot-server-programs)
(declare-function eglot-ensure "eglot" ())

(defun gradls-eglot-contact (&rest _)
  "The command of the server and its options, as eglot wants them."
  (list gradls-program "server" :initializationOptions (gradls--options)))

(defun gradls--decode-path (path)
  "PATH, which eglot made of a URI, as text if it is bytes."
  (decode-coding-string (if (multibyte-string-p path) (encode-coding-string path 'utf-8-emacs) path) 'utf-8))

(defun gradls--mend-eglot ()
  "Have eglot find buffers whose files are not called in ASCII.
That of Emacs 30.1 compares the bytes of a URI with the name of a file,
and so drops what is said about it."
  (when (fboundp 'eglot-uri-to-path)
    (advice-add 'eglot-uri-to-path :filter-return #'gradls--decode-path)))

;;;###autoload
(defun gradls-setup-eglot ()
  "Have eglot run gradls as the server of Python buffers."
  (with-eval-after-load 'eglot
    (gradls--mend-eglot)
    (add-to-list 'eglot-server-programs (cons gradls--modes #'gradls-eglot-contact)))
  (gradls--in-python #'eglot-ensure))

;;;; lsp-mode

(declare-function lsp-deferred "lsp-mode" ())
(declare-function lsp-register-client "lsp-mode" (client))
(declare-function lsp-stdio-connection "lsp-mode" (command &optional test-command))
(declare-function make-lsp-client "lsp-mode" (&rest slots))

(defun gradls--register-lsp ()
  "Make gradls known to lsp-mode."
  (lsp-register-client
   (make-lsp-client
    :new-connection (lsp-stdio-connection (lambda () (list gradls-program "server")))
    :major-modes gradls--modes
    :add-on? t
    ;; lsp-mode counts characters, whatever a server means, and does not say so.
    :initialization-options (lambda () (append (list :positionEncoding "utf-32") (gradls--options)))
    :server-id 'gradls)))

;;;###autoload
(defun gradls-setup-lsp ()
  "Have lsp-mode run gradls in Python buffers, beside other servers."
  (with-eval-after-load 'lsp-mode
    (gradls--register-lsp))
  (gradls--in-python #'lsp-deferred))

;;;; Flymake, for those whose eglot runs another server

(declare-function flymake-make-diagnostic "flymake" (locus beg end type text &optional data overlay-properties))
(declare-function flymake-mode "flymake" (&optional arg))

(defvar-local gradls--checking nil
  "The process that checks this buffer, if one does.")

(defun gradls--arguments (command &rest arguments)
  "Arguments of gradls for COMMAND on this buffer's text, and ARGUMENTS."
  (append (list command "--stdin-filename" (or buffer-file-name (buffer-name)))
          (and gradls-python (list "--python" gradls-python))
          arguments))

(defun gradls--point (line column)
  "The position of LINE and COLUMN, both from 1."
  (save-excursion
    (goto-char (point-min))
    (forward-line (1- line))
    (min (+ (point) (1- column)) (point-max))))

(defun gradls--diagnostic (buffer finding)
  "Make of FINDING, which comes from JSON, a diagnostic for BUFFER."
  (flymake-make-diagnostic
   buffer
   (gradls--point (plist-get finding :line) (plist-get finding :column))
   (gradls--point (plist-get finding :end_line) (plist-get finding :end_column))
   (pcase (plist-get finding :severity)
     ("error" :error)
     ("warning" :warning)
     (_ :note))
   (format "%s [%s]" (plist-get finding :message) (plist-get finding :code))))

(defun gradls--findings (output)
  "The findings in the buffer OUTPUT, in which gradls has written JSON."
  (with-current-buffer output
    (goto-char (point-min))
    (plist-get (json-parse-buffer :object-type 'plist :array-type 'list :null-object nil) :findings)))

(defun gradls--checked (process buffer report)
  "Tell REPORT the findings in BUFFER if PROCESS has ended its search for them."
  (when (memq (process-status process) '(exit signal))
    (unwind-protect
        (when (and (buffer-live-p buffer) (eq process (buffer-local-value 'gradls--checking buffer)))
          (condition-case problem
              (let ((findings (gradls--findings (process-buffer process))))
                (with-current-buffer buffer
                  (funcall report (mapcar (lambda (each) (gradls--diagnostic buffer each)) findings))))
            (error (funcall report :panic :explanation (error-message-string problem)))))
      (kill-buffer (process-buffer process)))))

(defun gradls-flymake (report &rest _)
  "Check this buffer and tell REPORT, a function of Flymake, the findings."
  (when (process-live-p gradls--checking)
    (kill-process gradls--checking))
  (let ((buffer (current-buffer)))
    (setq gradls--checking
          (make-process
           :name "gradls" :noquery t :connection-type 'pipe :coding 'utf-8-unix
           :buffer (generate-new-buffer " *gradls*")
           :stderr (get-buffer-create " *gradls errors*")
           :command (cons gradls-program (gradls--arguments "check" "--format" "json" "--exit-zero" "-"))
           :sentinel (lambda (process _) (gradls--checked process buffer report))))
    (save-restriction
      (widen)
      (process-send-region gradls--checking (point-min) (point-max)))
    (process-send-eof gradls--checking)))

(defun gradls-flymake-enable ()
  "Have Flymake show the findings of gradls in this buffer, too."
  (add-hook 'flymake-diagnostic-functions #'gradls-flymake nil t)
  (flymake-mode 1))

(defvar eglot-stay-out-of)

;;;###autoload
(defun gradls-setup-flymake ()
  "Have Flymake show the findings of gradls, beside those of another server.
Eglot then keeps the other sources of diagnostics that a buffer has."
  (with-eval-after-load 'eglot
    (gradls--mend-eglot)
    (add-to-list 'eglot-stay-out-of 'flymake)
    (add-hook 'eglot-managed-mode-hook #'gradls--flymake-of-eglot))
  (gradls--in-python #'gradls-flymake-enable))

(declare-function eglot-managed-p "eglot" ())

(defun gradls--flymake-of-eglot ()
  "Have Flymake show the diagnostics of eglot's server, beside others."
  (if (eglot-managed-p)
      (progn
        (add-hook 'flymake-diagnostic-functions 'eglot-flymake-backend nil t)
        (flymake-mode 1))
    (remove-hook 'flymake-diagnostic-functions 'eglot-flymake-backend t)))

;;;; Commands

(defun gradls--run (&rest arguments)
  "Output of gradls for ARGUMENTS and this buffer's text; an error if it fails."
  (let ((source (current-buffer))
        (coding-system-for-read 'utf-8-unix)
        (coding-system-for-write 'utf-8-unix)
        (errors (make-temp-file "gradls")))
    (unwind-protect
        (with-temp-buffer
          (let* ((output (current-buffer))
                 (status (with-current-buffer source
                           (save-restriction
                             (widen)
                             (apply #'call-process-region nil nil gradls-program nil (list output errors) nil
                                    arguments)))))
            ;; 1 says that there are findings.
            (unless (memq status '(0 1))
              (insert-file-contents errors)
              (user-error "%s" (string-trim (buffer-string))))
            (buffer-string)))
      (delete-file errors))))

(declare-function flymake-diagnostics "flymake" (&optional beg end))
(declare-function flymake-diagnostic-text "flymake" (diag))
(declare-function lsp-cur-line-diagnostics "lsp-mode" ())

(defun gradls--codes-here ()
  "The codes of the findings on this line."
  (let ((texts (append
                (and (bound-and-true-p flymake-mode)
                     (mapcar #'flymake-diagnostic-text
                             (flymake-diagnostics (line-beginning-position) (line-end-position))))
                (and (bound-and-true-p lsp-mode)
                     (mapcar (lambda (each)
                               (format "%s" (if (hash-table-p each) (gethash "code" each) (plist-get each :code))))
                             (lsp-cur-line-diagnostics)))))
        (found nil))
    (dolist (text texts (nreverse found))
      (when (string-match "\\_<GRD[0-9]\\{3\\}\\_>" text)
        (cl-pushnew (match-string 0 text) found :test #'equal)))))

(defun gradls--rules ()
  "The codes and names of all rules."
  (let* ((json (json-parse-string (gradls--run "rules" "--format" "json") :object-type 'plist :array-type 'list))
         (rules (plist-get json :rules)))
    (mapcan (lambda (rule) (list (plist-get rule :code) (plist-get rule :name))) rules)))

;;;###autoload
(defun gradls-explain (rule)
  "Show the page of RULE, a code such as GRD101 or a name.
The default is the rule of a finding on this line."
  (interactive (list (completing-read "Explain the rule: " (gradls--rules) nil t nil nil (gradls--codes-here))))
  (let ((page (gradls--run "explain" rule)))
    (with-help-window "*gradls*"
      (princ page))))

;;;###autoload
(defun gradls-why (error)
  "Say what ERROR of PyTorch means, and what in the code raised it.
ERROR is a message or a traceback: the region if there is one, as in a
shell or in a compilation, or else what is typed; the default is what
was killed or copied last."
  (interactive
   (list (if (use-region-p)
             (buffer-substring-no-properties (region-beginning) (region-end))
           (let ((last (ignore-errors (current-kill 0 t))))
             (read-string "Error (empty: what was copied last): " nil nil (and last (substring-no-properties last)))))))
  (let ((said (with-temp-buffer
                (insert error)
                (gradls--run "why"))))
    (with-help-window "*gradls*"
      (princ said))))

;;;###autoload
(defun gradls-show-picture ()
  "Draw the gradient of this line in the browser.
It is the way from the parameters to the backward() on the line, or to
what the function around it returns, with cuts in red."
  (interactive)
  (let ((place (format "-:%d" (line-number-at-pos nil t)))
        (file (make-temp-file "gradls-" nil ".html")))
    (write-region (apply #'gradls--run (gradls--arguments "graph" "--format" "html" "--" place)) nil file nil 'silent)
    (browse-url-of-file file)))

;;;###autoload
(defun gradls-fix-buffer ()
  "Make all safe fixes in this buffer."
  (interactive "*")
  (let ((fixed (apply #'gradls--run (gradls--arguments "check" "--fix" "--exit-zero" "-")))
        (source (current-buffer)))
    (with-temp-buffer
      (insert fixed)
      (let ((output (current-buffer)))
        (with-current-buffer source
          (save-restriction
            (widen)
            (replace-buffer-contents output)))))))

(provide 'gradls)
;;; gradls.el ends here
